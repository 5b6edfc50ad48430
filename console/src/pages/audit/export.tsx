// Taking the rows out as a file, with a reason where the project asks for one.

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { readProblem } from "../../api/problem";
import { useText } from "../../i18n";
import { Button, DialogButtons, Field, Modal, ProblemBox } from "../../ui";
import { exportPath, type Filters } from "./filters";
import { auditText } from "./text";

interface ExportProps {
  filters: Filters;
  needsReason: boolean;
  close: () => void;
}

export function Export({ filters, needsReason, close }: ExportProps) {
  const text = useText(auditText);
  const [reason, setReason] = useState("");
  const take = useMutation({
    mutationFn: async () => {
      const response = await fetch(exportPath(filters, reason), {
        credentials: "same-origin",
        headers: { "x-naru": "1" },
      });
      if (!response.ok) throw readProblem(await response.json().catch(() => undefined), response.status);
      return response.blob();
    },
    onSuccess: (blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = "naru-audit.csv";
      link.click();
      URL.revokeObjectURL(link.href);
      close();
    },
  });
  return (
    <Modal isOpen onOpenChange={(open) => !open && close()} title={text.exportTitle} keep>
      <p>{text.exportHint}</p>
      <Field label={text.exportReason} value={reason} onChange={setReason} required={needsReason} />
      {take.isError && <ProblemBox error={take.error} />}
      <DialogButtons>
        <Button onPress={close}>{text.cancel}</Button>
        <Button
          kind="primary"
          isPending={take.isPending}
          isDisabled={needsReason && reason.trim() === ""}
          onPress={() => take.mutate()}
        >
          {text.export}
        </Button>
      </DialogButtons>
    </Modal>
  );
}
