// Starts `lathe lsp` for every script that is open.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function start() {
  const command = vscode.workspace.getConfiguration("lathe").get("path", "lathe");
  const server = { command, args: ["lsp"] };
  const documentSelector = [{ language: "lathe", scheme: "file" }];
  client = new LanguageClient("lathe", "Lathe", server, { documentSelector, synchronize: { configurationSection: "lathe" } });
  try {
    await client.start();
  } catch (e) {
    const open = "Open the setting";
    const text = `Lathe's language server does not start (\`${command} lsp\`): ${e.message}. Put \`lathe\` on the PATH, or set \`lathe.path\`.`;
    if ((await vscode.window.showErrorMessage(text, open)) === open) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "lathe.path");
    }
  }
}

async function stop() {
  // A server that did not start cannot be stopped.
  if (client && client.isRunning()) {
    await client.stop();
  }
  client = undefined;
}

async function restart() {
  await stop();
  await start();
}

exports.activate = async (context) => {
  context.subscriptions.push(
    vscode.commands.registerCommand("lathe.restart", restart),
    vscode.workspace.onDidChangeConfiguration((e) => e.affectsConfiguration("lathe.path") && restart()),
  );
  await start();
};

exports.deactivate = stop;
