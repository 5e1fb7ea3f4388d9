<%@ page contentType="text/html; charset=UTF-8" session="false" trimDirectiveWhitespaces="true" %>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Parcels</title>
<link rel="stylesheet" href="parcels.css">
</head>
<body>
<form class="card" method="post" action="j_security_check">
  <h1>Where is my parcel?</h1>
  <% if (request.getParameter("wrong") != null) { %><p class="wrong">That name and password do not go together.</p><% } %>
  <label>Name <input name="j_username" autocomplete="username" required></label>
  <label>Password <input name="j_password" type="password" autocomplete="current-password" required></label>
  <button id="login">Log in</button>
</form>
</body>
</html>
