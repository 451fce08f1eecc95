//! The `lathe` command.

fn main() {
    lathe::torch::bridge::load_cuda();
}
