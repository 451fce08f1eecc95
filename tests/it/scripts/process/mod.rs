mod after;
mod chain;
mod demo;
mod published;
mod recipes;
