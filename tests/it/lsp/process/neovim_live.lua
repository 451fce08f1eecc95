-- What a running run tells, as Neovim shows it. The test in neovim.rs starts it.
local function labels()
  local by_line = {}
  for _, h in ipairs(vim.lsp.inlay_hint.get({ bufnr = 0 })) do
    by_line[h.inlay_hint.position.line] = h.inlay_hint.label
  end
  return by_line
end

local function wait(what, f)
  if not vim.wait(30000, f, 20) then
    error("waited for " .. what .. ": " .. vim.inspect(labels()) .. vim.fn.execute("messages"))
  end
end

ended("qall!", xpcall(function()
  vim.o.swapfile = false
  wait("the server", function()
    local c = vim.lsp.get_clients({ bufnr = 0 })[1]
    return c and c.initialized
  end)
  vim.lsp.inlay_hint.enable(true)
  wait("the last value", function() return (labels()[12] or ""):find("at step [%d ]+, run try1$") end)
  -- Nothing is typed and nothing is asked: the server says that there is more to show.
  wait("shapes", function() return (labels()[10] or "") == "[4, 3] f32 cpu" end)
  local before = labels()[12]
  wait("a newer value", function() return labels()[12] ~= before end)
  -- A line that changed shows nothing.
  vim.api.nvim_buf_set_lines(0, 12, 13, false, { "    log.align = helper::align(x * 2.0);" })
  wait("the silence of a changed line", function() return labels()[12] == nil and labels()[11] ~= nil end)
end, debug.traceback))
