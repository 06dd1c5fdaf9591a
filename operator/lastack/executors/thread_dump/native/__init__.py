"""Programs in C, C++ and Rust, and whatever cannot be asked otherwise: native stacks, by libdw."""
