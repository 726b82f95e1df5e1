// What stands where there is nothing to show: empty, loading, or an error with a way on.
import type { ComponentChildren } from "preact";
import type { Problem } from "../errors.js";
import { Icon, type IconName } from "./Icon.js";

export const Empty = ({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <span class="empty-icon">
      <Icon name={icon} />
    </span>
    <p class="empty-title">{title}</p>
    {children}
  </div>
);

export const ProblemText = ({ problem }: { problem: Problem }) => (
  <div class="problem-text">
    {problem.message !== "" && <p>{problem.message}</p>}
    {problem.details.length > 0 && (
      <ul>
        {problem.details.map((detail) => (
          <li key={detail}>{detail}</li>
        ))}
      </ul>
    )}
    {problem.requestId !== null && problem.code === "INTERNAL_ERROR" && <p class="quiet">Request {problem.requestId}</p>}
  </div>
);

export const ProblemBox = ({ problem, again }: { problem: Problem; again?: () => void }) => (
  <div class="problem" role="alert">
    <Icon name="alert" />
    <ProblemText problem={problem} />
    {again && (
      <button type="button" class="button" onClick={again}>
        Try again
      </button>
    )}
  </div>
);

export const Loading = ({ label }: { label: string }) => (
  <p class="loading" role="status">
    <span class="spinner" aria-hidden="true" />
    {label}
  </p>
);
