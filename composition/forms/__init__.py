"""Exact, differentiable ways to compute with W_0 + sum_k c_k delta_k, and the choice among them."""
