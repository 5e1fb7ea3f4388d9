<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%
    // Holdfast asks here, with the browser's own cookie, before it holds one: who is this?
    if (request.getRemoteUser() == null) response.sendError(401);
    else out.print("{\"user\": \"" + request.getRemoteUser() + "\"}");
%>
