mod leak;
