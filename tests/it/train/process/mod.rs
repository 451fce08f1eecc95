mod corrupted;
mod day;
mod own_loop;
mod runs;
