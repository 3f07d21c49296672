"""The models page: cards, versions, shadows, performance by verdicts, drift; activate, shadow, retire, roll back."""
