//! What `tch` lacks, through a small C++ file.
