"""What pytest-lsp, whose messages are those of the specification's own model, sees of the server. The test in specified.rs starts it in a project."""

import os
import pathlib

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

PROJECT = pathlib.Path.cwd()
MAIN = (PROJECT / "main.rhai").as_uri()
TEXT = (PROJECT / "main.rhai").read_text(encoding="utf-8")
DOCUMENT = types.TextDocumentIdentifier(uri=MAIN)


def position(before):
    """Behind a text, as UTF-16 counts."""
    head = TEXT[: TEXT.index(before) + len(before)]
    line = head.rsplit("\n", 1)[-1]
    return types.Position(line=head.count("\n"), character=len(line.encode("utf-16-le")) // 2)


@pytest_lsp.fixture(
    params=["visual-studio-code", "neovim", "emacs"],
    config=ClientServerConfig(server_command=[os.environ["LATHE"], "lsp"]),
)
async def client(request, lsp_client: LanguageClient):
    capabilities = client_capabilities(request.param)
    folder = types.WorkspaceFolder(uri=PROJECT.as_uri(), name="project")
    await lsp_client.initialize_session(types.InitializeParams(capabilities=capabilities, root_uri=PROJECT.as_uri(), workspace_folders=[folder]))
    item = types.TextDocumentItem(uri=MAIN, language_id="rhai", version=1, text=TEXT)
    lsp_client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    await lsp_client.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    yield
    await lsp_client.shutdown_session()
    assert not lsp_client.error


@pytest.mark.asyncio
async def test_faults_and_their_mending(client: LanguageClient):
    (fault,) = client.diagnostics[MAIN]
    assert (fault.code, fault.source) == ("E0503", "lathe")
    assert "did you mean `zeros`" in fault.message
    params = types.CodeActionParams(text_document=DOCUMENT, range=fault.range, context=types.CodeActionContext(diagnostics=[fault]))
    (action,) = await client.text_document_code_action_async(params)
    edit = action.edit
    (change,) = edit.changes[MAIN] if edit.changes else edit.document_changes[0].edits
    assert change.new_text == "zeros"


@pytest.mark.asyncio
async def test_what_is_under_the_cursor(client: LanguageClient):
    hover = await client.text_document_hover_async(types.HoverParams(text_document=DOCUMENT, position=position("F::conv2")))
    assert "[B, C" in hover.contents.value
    place = await client.text_document_definition_async(types.DefinitionParams(text_document=DOCUMENT, position=position("helper::dou")))
    place = place[0] if isinstance(place, list) else place
    uri = place.uri if isinstance(place, types.Location) else place.target_uri
    assert uri == (PROJECT / "helper.rhai").as_uri()
    offered = await client.text_document_completion_async(types.CompletionParams(text_document=DOCUMENT, position=position("helper::")))
    items = offered if isinstance(offered, list) else offered.items
    assert "double" in [i.label for i in items]


@pytest.mark.asyncio
async def test_changes(client: LanguageClient):
    params = types.RenameParams(text_document=DOCUMENT, position=position("helper::dou"), new_name="twice")
    edit = await client.text_document_rename_async(params)
    files = set(edit.changes) if edit.changes else {c.text_document.uri for c in edit.document_changes}
    assert files == {MAIN, (PROJECT / "helper.rhai").as_uri()}
    options = types.FormattingOptions(tab_size=4, insert_spaces=True)
    edits = await client.text_document_formatting_async(types.DocumentFormattingParams(text_document=DOCUMENT, options=options))
    assert any("t, t" in e.new_text or e.new_text == " " for e in edits)


@pytest.mark.asyncio
async def test_symbols_and_colors(client: LanguageClient):
    symbols = await client.text_document_document_symbol_async(types.DocumentSymbolParams(text_document=DOCUMENT))
    assert "main" in [s.name for s in symbols]
    tokens = await client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(text_document=DOCUMENT))
    assert len(tokens.data) % 5 == 0 and len(tokens.data) > 50
    folds = await client.text_document_folding_range_async(types.FoldingRangeParams(text_document=DOCUMENT))
    assert [(f.start_line, f.end_line) for f in folds]
