mod converts;
mod encoder_files;
mod guide;
mod programs;
