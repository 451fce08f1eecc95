//! The kernel under Jupyter's suite for kernels, and what it leaves open.

use super::driven;
use crate::support::process::Place;

#[test]
fn jupyters_suite_for_kernels() {
    driven("jupyters_suite_for_kernels", "suite.py", &Place::new(&[]));
}

#[test]
fn cells_are_the_prompts_language() {
    driven("cells_are_the_prompts_language", "cells.py", &Place::new(&[("helper.rhai", "fn twice(x) { 2 * x }\n")]));
}

#[test]
fn strangers_and_broken_clients_change_nothing() {
    driven("strangers_and_broken_clients_change_nothing", "hostile.py", &Place::new(&[]));
}

#[test]
fn values_are_shown_as_what_they_are() {
    driven("values_are_shown_as_what_they_are", "rich.py", &Place::new(&[]));
}
