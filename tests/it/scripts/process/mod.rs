mod chain;
mod demo;
mod recipes;
