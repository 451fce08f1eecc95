;;; What a user does in Emacs, with what the user sees. The test in eglot.rs starts it and looks at the files behind it. -*- lexical-binding: t; -*-

(defun wait-for (what test)
  "Wait until TEST gives something, and give it back."
  (let ((end (+ (float-time) 20)) found)
    (while (not (setq found (funcall test)))
      (when (> (float-time) end) (error "Waited for %s" what))
      (accept-process-output nil 0.02))
    found))

(defun behind (text)
  "Put point behind the first TEXT."
  (goto-char (point-min))
  (search-forward text))

(defun faults ()
  (mapcar #'flymake-diagnostic-text (flymake-diagnostics)))

(find-file "main.rhai")
(unless (and (eq major-mode 'lathe-mode) (memq 'eglot-ensure lathe-mode-hook)) (error "The page's settings are not in effect"))
;; Without a user's key nothing comes to start it as `eglot-ensure' would.
(apply #'eglot (eglot--guess-contact))
(wait-for "the server" #'eglot-managed-p)

;; A slip, shown where it is, and mended by the action that it carries.
(wait-for "the fault" #'faults)
(let ((fault (car (flymake-diagnostics))))
  (unless (string-match-p "no function `zeors`, did you mean `zeros`" (flymake-diagnostic-text fault)) (error "Said: %s" (faults)))
  (let ((where (buffer-substring (flymake-diagnostic-beg fault) (flymake-diagnostic-end fault))))
    (unless (equal where "torch::zeors") (error "Shown at %s" where)))
  (eglot-code-actions (flymake-diagnostic-beg fault) (flymake-diagnostic-end fault) "quickfix" t))
(wait-for "the mended text" (lambda () (save-excursion (goto-char (point-min)) (search-forward "torch::zeros" nil t))))
;; Nobody is idle here, which is when it tells the server.
(eglot--signal-textDocument/didChange)
(wait-for "no fault" (lambda () (not (faults))))

;; What is under the cursor.
(behind "F::conv2d")
(backward-char)
(let (shown)
  (eglot-hover-eldoc-function (lambda (text &rest _) (setq shown text)))
  (wait-for "the documentation" (lambda () shown))
  (unless (string-match-p "\\[B, C" shown) (error "Shown: %s" shown)))

;; Names of a module while it is typed.
(behind "helper::")
(let* ((found (eglot-completion-at-point)) (names (all-completions "" (nth 2 found))))
  (unless (seq-some (lambda (n) (string-prefix-p "double" n)) names) (error "Offered: %S" names)))

;; Layout, and a name in both files.
(eglot-format-buffer)
(unless (save-excursion (behind "F::conv2d(t, t, (), #{ stride: 2 });")) (error "Laid out: %s" (buffer-string)))
(behind "helper::double")
(backward-char)
;; It asks before it changes a file that is not open.
(cl-letf (((symbol-function 'y-or-n-p) (lambda (&rest _) t)))
  (eglot-rename "twice"))
(save-some-buffers t)
(princ "all well\n")
(eglot-shutdown (eglot-current-server))
