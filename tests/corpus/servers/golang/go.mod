module patient

go 1.19
