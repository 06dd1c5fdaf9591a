"""Node.js, by V8's own records of its stack, read from memory."""
