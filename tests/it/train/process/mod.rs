mod corrupted;
mod day;
mod memory;
mod one_run;
mod own_loop;
mod runs;
mod second_signal;
mod wandb;
