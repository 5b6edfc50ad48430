// Copying a text. Works without TLS too: where the clipboard API is missing, the `copy` event does it.

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { useText } from "../i18n";
import { announce } from "./announce";
import { Button, IconButton } from "./button";
import { uiText } from "./text";

/** Copies a text, with an HTML form beside it where given. False when the browser refuses. */
export function copyText(text: string, html?: string): boolean {
  let done = false;
  const write = (event: ClipboardEvent) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData?.setData("text/plain", text);
    if (html !== undefined) event.clipboardData?.setData("text/html", html);
    done = true;
  };
  document.addEventListener("copy", write, { capture: true });
  // The only way that needs neither TLS nor a permission.
  document.execCommand("copy");
  document.removeEventListener("copy", write, { capture: true });
  return done;
}

const SHOWN_MS = 1600;

/** A button that copies `text`; with `children` a labelled one, else an icon. */
export function CopyButton({ text, label, children }: { text: string; label?: string; children?: string }) {
  const words = useText(uiText);
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const press = () => {
    const done = copyText(text);
    setCopied(done);
    announce(done ? words.copied : words.copyFailed);
  };
  const icon = copied ? Check : Copy;
  if (children) {
    return (
      <Button small icon={icon} onPress={press}>
        {children}
      </Button>
    );
  }
  return <IconButton small icon={icon} label={copied ? words.copied : (label ?? words.copy)} onPress={press} />;
}
