mod stdlib;
