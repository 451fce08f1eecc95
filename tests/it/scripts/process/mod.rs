mod after;
mod chain;
mod demo;
mod recipes;
mod seeds;
