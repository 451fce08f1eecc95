-- What a user does in Neovim, with what the user sees. The test in neovim.rs starts it and looks at the files behind it.
local function wait(what, f)
  if not vim.wait(20000, f, 10) then
    error("waited for " .. what .. ": " .. vim.inspect(vim.diagnostic.get()) .. vim.fn.execute("messages"))
  end
end

-- The cursor on the last character of the first match.
local function at(pattern)
  vim.api.nvim_win_set_cursor(0, { 1, 0 })
  local found = vim.fn.search(pattern, "ceW")
  assert(found > 0, "no " .. pattern)
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
end

ended("wqall!", xpcall(function()
  vim.o.swapfile = false
  vim.o.hidden = true
  wait("the server", function()
    local c = vim.lsp.get_clients({ bufnr = 0 })[1]
    return c and c.initialized
  end)
  local client = vim.lsp.get_clients({ bufnr = 0 })[1]
  assert(client.name == "lathe" and client.root_dir == vim.uv.cwd(), vim.inspect(client.root_dir))

  -- A slip, shown and mended by the action that it carries.
  at("torch::zeros")
  vim.cmd("normal! ciwzeors")
  wait("the fault", function() return #vim.diagnostic.get(0) == 1 end)
  local d = vim.diagnostic.get(0)[1]
  local line = vim.api.nvim_buf_get_lines(0, d.lnum, d.lnum + 1, false)[1]
  assert(line:sub(d.col + 1, d.end_col) == "torch::zeors" and d.source == "lathe", vim.inspect(d))
  vim.lsp.buf.code_action({ apply = true, range = { start = { d.lnum + 1, d.col }, ["end"] = { d.lnum + 1, d.end_col } } })
  wait("the mended text", function() return text():find("torch::zeros", 1, true) end)
  wait("no fault", function() return #vim.diagnostic.get(0) == 0 end)

  -- Hover, as it is shown.
  at("conv2d")
  vim.lsp.buf.hover()
  local function float()
    for _, w in ipairs(vim.api.nvim_list_wins()) do
      if vim.api.nvim_win_get_config(w).relative ~= "" then
        return table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(w), 0, -1, false), "\n"), w
      end
    end
  end
  wait("hover", float)
  local shown, window = float()
  assert(shown:find("F::conv2d", 1, true) and shown:find("[B, C", 1, true), shown)
  vim.api.nvim_win_close(window, true)

  -- Inlay hints.
  vim.lsp.inlay_hint.enable(true)
  wait("hints", function() return #vim.lsp.inlay_hint.get({ bufnr = 0 }) > 0 end)
  local label = vim.lsp.inlay_hint.get({ bufnr = 0 })[1].inlay_hint.label
  assert(label == "bias:", vim.inspect(label))

  -- Completion: the popup's words, as insert mode has them.
  vim.o.completeopt = "menuone,noselect"
  local words
  vim.api.nvim_create_autocmd("CompleteChanged", { callback = function() words = vim.fn.complete_info({ "items" }).items end })
  at("fn main(cfg) {")
  vim.api.nvim_feedkeys(vim.keycode("o    torch::zer<C-x><C-o>"), "n", false)
  vim.defer_fn(function() vim.api.nvim_feedkeys(vim.keycode("<Esc>"), "n", false) end, 1500)
  vim.cmd("redraw")
  local done = false
  vim.api.nvim_create_autocmd("InsertLeave", { once = true, callback = function() done = true end })
  vim.api.nvim_feedkeys("", "x!", false)
  wait("the end of insert mode", function() return done end)
  assert(words and #words > 0 and words[1].word:find("^zeros"), vim.inspect(words))
  vim.cmd("undo")

  -- Names: in another file, and where a function's name is a text.
  at("helper::double")
  vim.lsp.buf.rename("twice")
  wait("the renamed function", function() return text():find("helper::twice(t)", 1, true) and not text():find("double", 1, true) end)
  at("fn step")
  vim.lsp.buf.rename("train_step")
  wait("the renamed step", function() return text():find('"train_step"', 1, true) end)
  at("helper::twice")
  vim.lsp.buf.definition()
  wait("the definition", function() return vim.fn.expand("%:t") == "helper.rhai" end)
  assert(vim.fn.line(".") == 2)
  vim.cmd("buffer main.rhai")

  -- Layout.
  local before = text()
  vim.cmd([[silent %s/^ \+/ /]])
  vim.lsp.buf.format()
  assert(text() == before, text())
  wait("no fault", function() return #vim.diagnostic.get(0) == 0 end)
end, debug.traceback))
