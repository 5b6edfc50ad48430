// The sign-in page: one button. Who was signed in before comes in without it.

import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { send } from "../../api/client";
import { useLocation } from "../../app/router";
import { useLanguage, useText } from "../../i18n";
import { Button, Empty, Loading, Notice, ProblemBox } from "../../ui";
import { forget, mayTryQuietly, remember, startPath } from "./quiet";
import styles from "./signin.module.css";
import { signInText } from "./text";

interface Info {
  project: string;
  mode: "provider" | "link";
  issuer: string | null;
}

const QUIET_FAILED = "signin.not_quiet";

export default function SignIn() {
  const text = useText(signInText);
  const info = useQuery({ queryKey: ["signin"], queryFn: () => send<Info>("GET", "/signin/info"), staleTime: 60_000 });
  if (info.isPending) return <Loading label={text.loading} whole />;
  if (!info.data) return <ProblemBox error={info.error} onRetry={info.refetch} />;
  if (info.data.mode === "link") return <Empty title={text.linkTitle} hint={text.linkHint} />;
  return <WithProvider info={info.data} />;
}

function WithProvider({ info }: { info: Info }) {
  const text = useText(signInText);
  const { search } = useLocation();
  const to = search.get("to") || "/";
  const error = search.get("error");
  const quiet = !error && mayTryQuietly();
  useEffect(() => {
    if (error) forget();
    else if (quiet) location.replace(startPath(to, "quiet"));
  }, [error, quiet, to]);
  useEffect(() => {
    document.title = text.title(info.project);
  }, [text, info.project]);
  if (quiet) return <Loading label={text.quietly} whole />;

  const go = (how?: "choose") => {
    remember();
    location.assign(startPath(to, how));
  };
  const reasons = text.reasons as Record<string, string | undefined>;
  const failed = error && error !== QUIET_FAILED;
  const who = info.issuer === "accounts.google.com" ? text.google : (info.issuer ?? "");
  return (
    <div className={styles.card}>
      <img src="/icon.svg" alt="" width="40" height="40" />
      <h1>{text.title(info.project)}</h1>
      {failed && <Notice tone="bad">{reasons[error] ?? text.unexplained}</Notice>}
      <div className={styles.buttons}>
        <Button kind="primary" onPress={() => go()} autoFocus>
          {text.with(who)}
        </Button>
        {failed && <Button onPress={() => go("choose")}>{text.other}</Button>}
      </div>
      <p className={styles.hint}>{text.hint}</p>
      <Languages />
    </div>
  );
}

function Languages() {
  const { language, setLanguage } = useLanguage();
  return (
    <div className={styles.languages}>
      <Button kind="quiet" small onPress={() => setLanguage("ko")} aria-pressed={language === "ko"}>
        한국어
      </Button>
      <Button kind="quiet" small onPress={() => setLanguage("en")} aria-pressed={language === "en"}>
        English
      </Button>
    </div>
  );
}
