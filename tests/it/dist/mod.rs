//! Several processes that train together: equal to one, alive, and honest about how they end.

mod process;
