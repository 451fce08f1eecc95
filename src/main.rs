//! The `lathe` command.

fn main() -> std::process::ExitCode {
    // First of all: once something has asked libtorch for CUDA, its kernels can no longer be added.
    lathe::torch::bridge::load_cuda();
    lathe::torch::bridge::keep_memory();
    lathe::cli::main()
}
