// Letting a program in that runs where there is no browser: what asks, from where, and two buttons.

import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useSearch } from "../../app/router";
import { useSession } from "../../app/session";
import { useText } from "../../i18n";
import { Button, DialogButtons, Field, Loading, Notice, Page, Pairs, ProblemBox, Time } from "../../ui";
import styles from "./signin.module.css";
import { signInText } from "./text";

export default function Device() {
  const text = useText(signInText).device;
  const [code, setCode] = useSearch("code");
  return (
    <Page title={text.title}>
      <div className={styles.device}>{code ? <Waiting code={code} /> : <Enter onEnter={setCode} />}</div>
    </Page>
  );
}

function Enter({ onEnter }: { onEnter: (code: string) => void }) {
  const text = useText(signInText).device;
  const [code, setCode] = useState("");
  return (
    <form
      className={styles.device}
      onSubmit={(event) => {
        event.preventDefault();
        if (code.trim()) onEnter(code.trim());
      }}
    >
      <Field label={text.codeLabel} help={text.codeHelp} value={code} onChange={setCode} mono autoFocus required />
      <DialogButtons>
        <Button kind="primary" type="submit" isDisabled={!code.trim()}>
          {text.next}
        </Button>
      </DialogButtons>
    </form>
  );
}

function Waiting({ code }: { code: string }) {
  const text = useText(signInText).device;
  const me = useSession();
  const params = { path: { code } };
  const waiting = useQuery({
    queryKey: ["device", code],
    queryFn: () => call(api.GET("/api/v1/device/{code}", { params })),
    refetchOnWindowFocus: false,
  });
  const answer = useMutation({
    mutationFn: (let_in: boolean) => call(api.POST("/api/v1/device/{code}", { params, body: { let_in } })),
  });
  if (answer.isSuccess) {
    return <Notice tone={answer.variables ? "good" : "info"}>{answer.variables ? text.done : text.away}</Notice>;
  }
  if (waiting.isPending) return <Loading label={text.loading} />;
  if (!waiting.data) return <ProblemBox error={waiting.error} onRetry={waiting.refetch} />;
  const { client, address, same_address, asked_at } = waiting.data;
  return (
    <>
      <h2>{text.asks}</h2>
      <span className={styles.code}>{code.toUpperCase()}</span>
      <Pairs
        items={[
          [text.program, client || text.nobody],
          [text.address, `${address} (${same_address ? text.sameAddress : text.otherAddress})`],
          [text.asked, <Time key="asked" at={asked_at} ago />],
          [text.as, me.name],
        ]}
      />
      <p>{text.means}</p>
      <Notice tone="warn">{text.warning}</Notice>
      {answer.isError && <ProblemBox error={answer.error} />}
      <DialogButtons>
        <Button onPress={() => answer.mutate(false)} isDisabled={answer.isPending}>
          {text.turnAway}
        </Button>
        <Button kind="primary" onPress={() => answer.mutate(true)} isDisabled={answer.isPending}>
          {text.letIn}
        </Button>
      </DialogButtons>
    </>
  );
}
