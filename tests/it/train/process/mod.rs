mod own_loop;
mod runs;
