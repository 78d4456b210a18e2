"""Where frames come from: capture files now, the mirror port's ring later."""
