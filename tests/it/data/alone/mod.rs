mod damaged_files;
