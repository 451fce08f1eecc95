mod agents;
mod commands;
mod compare;
mod git;
mod libraries;
mod strangers;
mod study;
