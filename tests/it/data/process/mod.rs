#[cfg(feature = "hdf5")]
mod h5py;
mod packed;
mod preprocess;
