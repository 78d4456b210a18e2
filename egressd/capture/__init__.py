"""Where frames come from: capture files, a folder that is ringed into, the mirror port."""
