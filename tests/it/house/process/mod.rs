mod dependencies;
mod extending;
