mod extending;
