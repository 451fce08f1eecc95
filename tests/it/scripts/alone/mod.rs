mod examples;
mod stdlib;
