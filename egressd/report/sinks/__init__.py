"""Where alerts and records go while egressd watches: a file, the journal, syslog, HTTP servers."""
