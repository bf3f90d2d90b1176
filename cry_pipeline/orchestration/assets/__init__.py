"""Assets by stage; each takes its inputs, calls one domain function and reports what came of it."""
