"""Other kernels: virtual machines that run the sensor suite and each lab disease. `make test-kernels`."""
