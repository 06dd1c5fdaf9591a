"""What is kept: real files, real crashes, real sockets."""
