// The page's nonce. Libraries that make <style> elements (CodeMirror: `EditorView.cspNonce.of(nonce())`) need it,
// because the content security policy refuses all others.

export function nonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
}
