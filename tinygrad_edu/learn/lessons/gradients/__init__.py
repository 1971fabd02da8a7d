"""What a derivative is, and how backpropagation finds all of them."""
