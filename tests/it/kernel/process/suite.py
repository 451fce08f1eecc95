"""Jupyter's own suite for kernels, with samples in Lathe's language."""
import unittest

import jupyter_kernel_test as jkt


class Lathe(jkt.KernelTests):
    kernel_name = "lathe"
    language_name = "lathe"
    file_extension = ".rhai"
    code_hello_world = 'print("hello, world")'
    code_stderr = 'debug("beside")'
    code_generate_error = 'throw "on purpose"'
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "torch::zeros([2, 3]).shape", "result": "[2, 3]"},
        {"code": "// a comment\n6 * 8", "result": "48"},
        {"code": "6 * 7", "result": "42"},
        {"code": "6 * 7", "result": "42"},
    ]
    code_display_data = [{"code": "show(torch::rand([3, 16, 16]))", "mime": "image/png"}]
    code_history_pattern = "6?*?7"
    supported_history_operations = ("tail", "range", "search")
    completion_samples = [
        {"text": "torch::zeros_l", "matches": {"zeros_like("}},
        {"text": "let long_name = 1;\nF::no_such_f", "matches": set()},
        {"text": ":va", "matches": {":vars"}},
    ]
    complete_code_samples = ["1", "let x = 1;\nx", "fn f(a) {\n  a\n}", ":vars", "", "let s = `a\nb`;"]
    incomplete_code_samples = ["fn f(a) {", "[1,", "let s = `a", "f(1,\n", "if true {\n  1"]
    invalid_code_samples = ["let = 3", "1 +* 2", "}"]
    code_inspect_sample = "torch::zeros"


class Welcome(jkt.IopubWelcomeTests):
    kernel_name = "lathe"
    support_iopub_welcome = True


result = unittest.main(exit=False).result
assert result.testsRun > 10 and result.wasSuccessful()
print("all well")
