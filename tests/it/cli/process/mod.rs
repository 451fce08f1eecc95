mod commands;
mod compare;
mod libraries;
mod study;
