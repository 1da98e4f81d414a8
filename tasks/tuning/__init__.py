"""A search for better settings: Optuna proposes, processes try, the winner is a candidate."""
