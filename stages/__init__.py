"""One module per stage of dvc.yaml, of the same name: arguments in, files out, the work in main()."""
