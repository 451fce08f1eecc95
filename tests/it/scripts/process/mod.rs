mod chain;
mod demo;
mod origins;
mod recipes;
