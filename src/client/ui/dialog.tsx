import { type ReactNode, useId, useLayoutEffect, useRef } from 'react';

interface DialogProps {
  heading: string;
  /** Escape was pressed. The dialog is open for as long as it is rendered. */
  onClose: () => void;
  children: ReactNode;
}

/** Modal: the rest of the page is inert meanwhile, and the focus returns to where it was. */
export function Dialog({ heading, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // In a layout effect, because only an element that is still in the page gives the focus back when it closes.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      // Not `cancel`: browsers skip it when Escape is pressed twice.
      onClose={() => {
        // Events are late: it may be open again, as after React's second mount in development.
        if (dialog.current?.open === false) onClose();
      }}
      className="m-auto w-full max-w-md border-none bg-transparent p-4 text-ink backdrop:bg-scrim"
    >
      <div className="rounded-2xl border border-line bg-surface px-5 py-6 shadow-lg sm:px-7">
        <h2 id={id} className="font-display text-xl font-semibold wrap-anywhere">
          {heading}
        </h2>
        {children}
      </div>
    </dialog>
  );
}
