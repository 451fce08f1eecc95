//! The recipes of autoencoders in their tiny forms: each trains, is killed and goes on bit-equal, and is judged by what it makes of pictures; with a
//! denoiser beside it, by the pictures of that.

use super::tiny::{rebuilt, whole};

#[test]
fn autoencoders_of_an_alignment_go_on_bit_equal_and_reconstruct() {
    rebuilt("train_sendvae", &["sendvae", "vavae"]);
}

#[test]
fn autoencoders_of_other_terms_go_on_bit_equal_and_reconstruct() {
    rebuilt("train_sendvae", &["gram", "eqvae", "detok"]);
}

#[test]
fn a_representation_autoencoder_goes_on_bit_equal_and_reconstructs() {
    rebuilt("train_rae", &["rae"]);
}

#[test]
fn an_autoencoder_and_its_denoiser_go_on_bit_equal_and_sample() {
    whole("train_repae", &["repae"], &["--num-steps", "2", "--cfg-scale", "2"]);
}
