mod day;
mod runs;
