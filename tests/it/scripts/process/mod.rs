mod after;
mod chain;
mod demo;
mod origins;
mod published;
mod recipes;
mod seeds;
